"""Which embedder a cleaning asks, and where it remembers."""

from evolcoder.clean.embed import Embedder, Remembering, open_embedder
from evolcoder.config import CleanConfig
from evolcoder.engine.models import cache_file, cache_folder


def embedder_for(config: CleanConfig) -> Embedder | None:
    """Open the config's embedder if it looks for meanings."""
    return opened(config.embedder) if config.meaning is not None else None


def opened(spec: str) -> Embedder:
    """Open an embedder whose vectors are kept in the cache folder."""
    embedder = open_embedder(spec, cache_folder() / "models")
    return Remembering(embedder, cache_file("embeddings.db"))
