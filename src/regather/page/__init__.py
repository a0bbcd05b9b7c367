"""The page: what runs, its servers, fragments and failures, for people to look at.

``samples`` is what a program gives once a second, ``recorder`` what is remembered of it, ``routes``
how a browser gets it. This package itself imports nothing, so that its parts cost only what they
need: nothing here loads where no page is asked for.
"""
