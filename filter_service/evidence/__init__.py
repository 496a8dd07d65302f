"""Evidence that an identifier is a person's own, or a domain a rightsholder's; and word to their agents."""
