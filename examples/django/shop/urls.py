"""The addresses of the pages."""

from __future__ import annotations

from django.urls import path

from . import views

urlpatterns = [
    path("texts/", views.take_text),
    path("texts/<int:text_id>/", views.show_text),
    path("counts/of/<str:customer>/", views.order_count),
    path("counts/<str:result_id>/", views.show_count),
]
