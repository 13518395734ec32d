"""A gateway to a language model: many tenants share the provider's requests and tokens a minute, in fair shares."""
