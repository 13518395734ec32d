"""A mail service in Node, with the TypeScript client: customers post mails, and a worker gives them to a provider."""
