"""What every reading task serves with: manifests, sessions, ensembles."""
