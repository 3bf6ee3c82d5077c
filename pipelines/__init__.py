"""The stages of dvc.yaml: each reads typed params, calls laspa, writes its outputs, tracks."""
