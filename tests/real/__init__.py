"""A real server for tests: Django, Django REST framework and drf-jwt, as Testpress would have set them.

`settings` and `site` are the site, `__main__` serves it, `process` runs that in a process of its own. Tests import
`process` alone: the rest needs Django set up.
"""
