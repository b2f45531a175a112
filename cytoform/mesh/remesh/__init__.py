"""Upkeep of meshes during a fit: isotropic remeshing, smoothing, and removal of folds.

:func:`remesh` follows Botsch and Kobbelt ("A Remeshing Approach to Multiresolution Modeling", SGP 2004, doi
10.2312/SGP/SGP04/189-196): split long edges, collapse short ones, flip edges towards valence 6, relax along the
surface, project back. Every step handles at once a set of edges that share no faces, in plain NumPy: no compile time,
and the same result on every run.

Why not gpytoolbox's ``remesh_botsch`` (MIT, C++)? Both were run on a sphere, a blob, a dumbbell, an ellipsoid of 1 : 7
: 27 and a noisy sphere of 5,120 faces, to three edge lengths. Both gave closed, repeatable meshes without folded faces;
the smallest angle of each lay between 5° and 54° there, 16° and 41° here. Keeping about 5,100 faces takes 0.06 s there
and 0.25 to 0.4 s here; growing to 16,000 faces 0.3 s there and 3 to 4 s here. A fit spends that every dozen steps or
more. But gpytoolbox 0.3.8 has no wheel for Linux on aarch64, so that a second way would be needed, and two ways give
two results; its import takes 1.5 s and loads scikit-image and more; and a fault in C++ would end the process. So there
is one way.
"""

from .driver import remesh
from .quality import edges_are_uneven, faces_around, needs_remesh, poor_faces
from .relaxing import untangle

__all__ = ["edges_are_uneven", "faces_around", "needs_remesh", "poor_faces", "remesh", "untangle"]
