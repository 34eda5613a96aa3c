"""Digital chest phantoms: drawn anatomy, projected as X-rays are."""
