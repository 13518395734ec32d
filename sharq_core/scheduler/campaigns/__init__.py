"""Makes the calls about campaigns, and decodes their replies. sharq_core/campaigns has the values."""
