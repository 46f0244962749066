"""Genotypes: PLINK files, the people joined to a table, and the relationship matrix.

`people` joins by id, `relationship` and `genotypes` give the matrix in which encoders train,
`block_columns` that of many people in parts, `simulation` and `simulated_fileset` draw genotypes
with linkage, `plink` writes them as filesets, `variant_weights` turns a trained encoder into
weights of variants, `encoder_cache` keeps what that needs, `scoring` applies them to other
filesets, `ancestry` has principal components. Filesets are read in `pipeline.serving`, because a
kept model reads them too.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
