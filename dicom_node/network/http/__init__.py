"""HTTP below DICOMweb: sessions, servers, bodies."""
