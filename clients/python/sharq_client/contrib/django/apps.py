"""Makes the package an app of Django, so that `manage.py` knows its command."""

from django.apps import AppConfig


class SharqConfig(AppConfig):
    """The app "sharq": a management command, and no models."""

    name = "sharq_client.contrib.django"
    label = "sharq"
    verbose_name = "SHARQ"
