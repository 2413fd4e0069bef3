"""Does this condition fire, and when.

``engine`` is the entrance and says how a batch goes through; ``force`` holds what is in force, ``plan`` makes it from
programs; ``cascade`` evaluates, ``stages`` says in which order. Below: ``signals`` (samples, marks, the guard), ``detections`` (tracks, looks, loops), ``arrivals`` and ``heads``
(what comes beside the buses), ``past`` (functions that look back), ``expressions`` and ``conditions``, ``firing`` (phases,
schedule, the evaluation budget). ``check`` asks whether a vehicle can run a campaign.
"""
