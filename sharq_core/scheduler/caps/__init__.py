"""Makes the calls about named caps, and decodes their replies."""
