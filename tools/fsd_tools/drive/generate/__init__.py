"""Procedural city drives: a world in metres, a pinhole camera, noise, and the vehicle's own buses.

``world`` lays the road and the ego vehicle's motion; ``actors`` puts people and cars on it; ``camera``
projects; ``paint`` and its neighbours draw; ``noise`` turns truth into a detector's report; ``can`` packs the
motion into frames; ``drive`` writes all of it into one file.
"""
