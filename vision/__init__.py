"""Looking at images: models as manifests, where they are kept, and what they say of a picture."""

__all__: list[str] = []
