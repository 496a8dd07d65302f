"""The registry: deletion requests, their review, and the signed releases made of them."""
