"""Commands over whole tasks: train, evaluate, quantize."""
