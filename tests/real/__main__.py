"""Serve the site on a free port of 127.0.0.1, print the port, and end with whoever started it."""
# mypy: ignore-errors
# (Django and waitress have no types.)

import os
import sys
import threading

import django
import waitress
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application


def end_with_parent():
    """Standard input ends when the process that started this one does, however that came about."""
    sys.stdin.buffer.read()
    os._exit(0)


os.environ["DJANGO_SETTINGS_MODULE"] = "tests.real.settings"
threading.Thread(target=end_with_parent, daemon=True).start()
django.setup()
call_command("migrate", run_syncdb=True, interactive=False, verbosity=0)
server = waitress.create_server(get_wsgi_application(), host="127.0.0.1", port=0, threads=16)
print(server.effective_port, flush=True)
server.run()
