"""What runs and shows the system outside its packages."""
