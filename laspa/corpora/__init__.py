"""Corpora: each is one module that says what it is and lists its recordings; CORPORA names them all."""
