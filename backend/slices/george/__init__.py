"""GEORGE's clustering stage: clusters of each true class by itself."""

from backend.slices.george.clusters import GeorgeClusters, george_clusters

__all__ = ["GeorgeClusters", "george_clusters"]
