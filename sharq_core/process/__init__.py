"""What every process of the deployment does alike: it binds, runs one event loop, and stops when it is told to."""
