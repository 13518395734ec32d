"""Builds what a release consists of, and checks it: `python -m deploy.release`.

`build.py` makes the files, `versions.py` says whether all of them have one version, `checks.py` tries the files that
were made. Nothing here sends anything anywhere: .github/workflows/release.yml publishes.
"""
