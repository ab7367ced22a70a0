"""A run in other people's formats.

eval_info.py   LeRobot's eval_info.json
records.py     a Parquet of every record
dataset.py     a LeRobotDataset of the played episodes  ◄── playback.py, which plays them again for their pictures
"""
