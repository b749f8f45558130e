"""Which embedder a cleaning asks, and where it remembers."""

from evolcoder.config.load import CleanConfig
from evolcoder.dedup.embedders import Embedder, Remembering, open_embedder
from evolcoder.engine.registry import cache_file, cache_folder


def embedder_for(config: CleanConfig) -> Embedder | None:
    """Open the config's embedder if it looks for meanings."""
    return opened(config.embedder) if config.meaning is not None else None


def opened(spec: str) -> Embedder:
    """Open an embedder whose vectors are kept in the cache folder."""
    embedder = open_embedder(spec, cache_folder() / "models")
    return Remembering(embedder, cache_file("embeddings.db"))
