"""The private names of other libraries that this project uses, one module for each library.

A private name may change in any release, so pyproject.toml pins these libraries to the minor release that was read, and
tests/unit/repository/test_compat.py says which name an upgrade has moved. No other module uses such a name.
"""
