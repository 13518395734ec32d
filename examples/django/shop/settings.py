"""The settings of the project. TASKS is what SHARQ needs."""

from __future__ import annotations

import os
from pathlib import Path

SECRET_KEY = "only for this example"
ALLOWED_HOSTS = ["127.0.0.1"]
ROOT_URLCONF = "shop.urls"
USE_TZ = True

INSTALLED_APPS = [
    "sharq_client.contrib.django",  # the command sharq_worker, and the checks of the settings
    "shop",
]

TASKS = {
    "default": {
        "BACKEND": "sharq_client.contrib.django.SharqBackend",
        "QUEUES": ["default", "texts"],
        # Without "url" and "token" the variables SHARQ_URL and SHARQ_TOKEN name the server.
        "OPTIONS": {"job": "shop.limits.job_of"},
    }
}

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("SHOP_DATABASE", Path(__file__).with_name("shop.sqlite3")),
        "OPTIONS": {"transaction_mode": "IMMEDIATE", "init_command": "PRAGMA journal_mode=WAL"},
    }
}

CARRIER_URL = os.environ.get("CARRIER_URL", "http://127.0.0.1:9000")
