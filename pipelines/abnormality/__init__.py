"""The name by which configurations load the head normal or abnormal."""
