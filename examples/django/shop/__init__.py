"""The app: a customer posts texts, and a task sends each of them."""
