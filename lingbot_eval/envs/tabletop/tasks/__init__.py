"""Each task is a class; they are in order of growing horizon."""

from lingbot_eval.envs.tabletop.task import TabletopTask
from lingbot_eval.envs.tabletop.tasks.hand_over_bar import HandOverBar
from lingbot_eval.envs.tabletop.tasks.lift_block import LiftBlock
from lingbot_eval.envs.tabletop.tasks.lift_tray import LiftTray
from lingbot_eval.envs.tabletop.tasks.place_on_pad import PlaceOnPad
from lingbot_eval.envs.tabletop.tasks.press_button import PressButton
from lingbot_eval.envs.tabletop.tasks.push_to_line import PushToLine
from lingbot_eval.envs.tabletop.tasks.rank_three import RankThree
from lingbot_eval.envs.tabletop.tasks.stack_two import StackTwo

CLASSES: dict[str, type[TabletopTask]] = {
    task.name: task
    for task in (LiftBlock, PressButton, PlaceOnPad, PushToLine, StackTwo, LiftTray, HandOverBar, RankThree)
}
