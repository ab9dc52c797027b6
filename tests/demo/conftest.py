from tests.registry import own_registry

__all__ = ["own_registry"]
