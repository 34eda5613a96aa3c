"""The names by which configurations load the heads for pneumonia."""
