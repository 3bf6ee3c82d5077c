"""Trial lists: drawing them from a manifest, and the field's text formats.

May import: laspa.manifest, laspa.params.
"""
