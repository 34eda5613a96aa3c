"""One process of the node: its logs, its crash points, its supervisor."""
