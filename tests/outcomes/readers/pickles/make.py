"""Writes the pickles beside it: python make.py FOLDER, once with each version of pandas."""

import pickle
import sys
from pathlib import Path

import numpy as np
import pandas as pd

COLUMNS = {
    "sample_id": ["mmlu.1", "mmlu.2"],
    "prompt": ["['What is 2+2?']", "['Name a colour', 'and \u20ac']"],
    "eval_name": ["mmlu-maths", "mmlu-art"],
    "small": [0.0, np.nan],
    "large": [1.0, 0.5],
    "small|model_response": ["five", None],
    "large|model_response": ["four", "red"],
    "small|total_cost": [0.00001, np.nan],
    "large|total_cost": [0.001, 0.002],
    "oracle_model_to_route_to": ["large", "large"],
    "tokens": [7, 8],
    "seen": [True, False],
}
folder, version = Path(sys.argv[1]), "".join(pd.__version__.split(".")[:2])
frame = pd.DataFrame({**COLUMNS, "dropped": [1, 2]})
frame = frame[frame.tokens > 0].drop(columns="dropped")
scores = {
    "model": ["x", "y"],
    "data": {
        "train_score": np.array([[1, 0], [0, 1]]),
        "val_score": np.array([[0.25, 1.0]], order="F"),
        "test_score": np.array([[True, False]]),
    },
}
prompts = {"train_prompt": np.array(["p1", "p2"]), "val_prompt": np.array(["p3"], dtype=object), "test_prompt": ["p4"]}
sets = {"easy": {3: {"all_strong": scores}}, "prompt": prompts, "split_index": np.float64(3.5)}
for protocol in range(6):
    (folder / f"frame_{version}_{protocol}.pkl").write_bytes(pickle.dumps(frame, protocol))
    (folder / f"pools_{version}_{protocol}.pkl").write_bytes(pickle.dumps(sets, protocol))
