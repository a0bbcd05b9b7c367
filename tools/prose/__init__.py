"""A linter for the project's English: long sentences, and words that slow readers down.

    python -m tools.prose                  everything that users read
    python -m tools.prose docs/server.md   one file, also while it is on the list of unclean ones
    python -m tools.prose --worst 10       the longest sentences

``rules.toml`` holds the words, ``unclean.txt`` the files that still break a rule. That list may
only become shorter.
Code, tables and links are not prose. The words of an inline code span are counted, since they are
read, but no rule applies to them.
"""
