"""Pictures of a run: what each shows, and that nothing in them overlaps."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest

pytest.importorskip("matplotlib", reason="matplotlib is not installed: pip install -e '.[report]'")

from matplotlib.backends.backend_agg import FigureCanvasAgg

from lingbot_eval.cli.lingbot_eval import main
from lingbot_eval.envs.libero.tasks import SUITES
from lingbot_eval.envs.robotwin.tasks import TASKS
from lingbot_eval.lines import LineWriter
from lingbot_eval.reports import plots
from lingbot_eval.reports.methods import SUCCESS as SUCCESS_RATE
from lingbot_eval.reports.methods import methods, published
from lingbot_eval.reports.plots import trials_of
from lingbot_eval.reports.published import slugs
from lingbot_eval.reports.stats import Count, wilson
from lingbot_eval.reports.stats.intervals import stratified
from lingbot_eval.reports.table import rows
from lingbot_eval.reports.training_curve import training_curve
from lingbot_eval.runs.plan import plan_hash
from lingbot_eval.types import Episode, EpisodeRecord, Outcome, Spent
from tests.reports.folders import directory, many
from tests.reports.method_runs import run

SUCCESS, FAILURE, ERROR = Outcome.SUCCESS, Outcome.FAILURE, Outcome.ERROR


def played(plan, each=lambda episode: SUCCESS):
    return {e.id: EpisodeRecord(e, each(e), 10 + e.index, 1.0, spent=Spent(0.5, 0.4, 0.1)) for e in plan}


def robotwin():
    return [Episode("robotwin", task, k, "", s, index=k) for s in ("easy", "hard") for task in TASKS for k in range(2)]


def libero():
    return [Episode(suite, task, 0, "") for suite, tasks in SUITES.items() for task in tasks]


def beside(*slugs: str):
    """Ours on RoboTwin's fifty tasks, and published ones."""
    results = {(part, task): (count % 3, 2) for part in ("easy", "hard") for count, task in enumerate(TASKS)}
    ours = run(results, "robotwin")
    return [*methods([ours]), *published("robotwin_tasks", slugs, ours)]


def test_ours_stand_beside_the_published_task_by_task_and_no_two_marks_overlap():
    shown = beside("motus", "pi0.5", "x-vla")
    figure = plots.against_published(shown)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    for axes, part in zip(figure.axes, ("easy", "hard"), strict=True):
        assert axes.get_title() == part
        assert [len(container.lines[0].get_xdata()) for container in axes.containers] == [51] * 4
        motus = axes.containers[1].lines[0]
        assert motus.get_xdata()[0] == float(shown[1].scores[part, next(iter(TASKS)), SUCCESS_RATE].value)
        heights = sorted(
            axes.transData.transform((0, y))[1] for container in axes.containers for y in container.lines[0].get_ydata()
        )
        marker = motus.get_markersize() * figure.dpi / 72
        assert min(upper - lower for lower, upper in pairwise(heights)) > marker
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == ["lingbot-va", "Motus, published", "pi0.5, published", "X-VLA, published"]


def test_what_may_not_be_ranked_says_so_in_the_legend():
    ours = run({("easy", "adjust_bottle"): (1, 2)}, "robotwin", regime="A")
    figure = plots.against_published([*methods([ours]), *published("robotwin_tasks", ["motus"], ours)])
    assert figure.legends[0].get_texts()[1].get_text() == "Motus, published, not ranked"


def test_a_mean_over_other_tasks_is_not_put_beside_the_published_one(tmp_path, capsys):
    ours = run({("easy", "adjust_bottle"): (1, 2), ("hard", "adjust_bottle"): (1, 2)}, "robotwin")
    figure = plots.against_published([*methods([ours]), *published("robotwin_tasks", ["motus"], ours)])
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == ["adjust_bottle"]
    plan = [episode for episode in libero() if episode.suite == "libero_goal"][:2]
    directory(tmp_path, plan, played(plan).values(), suite={"name": "libero", "seed": 0, "plan": plan_hash(plan)})
    assert main(["plot", str(tmp_path), "--against", "openvla"]) == 0
    drawn = (tmp_path / "report" / "against-published.svg").read_text()
    assert ">expert, not ranked</text>" in drawn
    assert ">average</text>" not in drawn


def test_trials_whose_commands_nobody_counted_have_no_curve_over_them():
    plan = [Episode("real", "fold", k, "") for k in range(4)]
    assert plots.success_by_commands(trials_of({e.id: EpisodeRecord(e, SUCCESS, 0, 1.0) for e in plan})) is None


def test_without_published_tasks_the_parts_stand_on_the_lines(tmp_path, capsys):
    plan = libero()
    final = played(plan)
    directory(tmp_path, plan, final.values(), suite={"name": "libero", "seed": 0, "plan": plan_hash(plan)})
    assert main(["plot", str(tmp_path), "--against", "openvla"]) == 0
    assert "against-published.png" in capsys.readouterr().out
    drawn = (tmp_path / "report" / "against-published.svg").read_text()
    assert all(f">{words}</text>" in drawn for words in (*SUITES, "average", "OpenVLA, published"))
    assert main(["plot", str(tmp_path), "--against", "opnvla"]) == 2
    assert "did you mean 'openvla'" in capsys.readouterr().err
    many = ",".join(slugs("libero")[: len(plots.COLOURS)])
    assert main(["plot", str(tmp_path), "--against", many]) == 2
    assert "too many for one picture" in capsys.readouterr().err


@pytest.mark.parametrize("plan", [robotwin(), libero()], ids=["robotwin", "libero"])
def test_no_labels_overlap_however_many_and_long_they_are(plan):
    figure = plots.success_by_task(rows(plan, played(plan)))
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    labels = figure.axes[0].get_yticklabels()
    boxes = [text.get_window_extent(canvas.get_renderer()) for text in labels]
    assert len({text.get_text() for text in labels}) == len({episode.task for episode in plan}) + 1  # and the mean
    assert all(upper.y0 >= lower.y1 for upper, lower in pairwise(boxes))
    assert all(box.x0 >= 0 for box in boxes)
    assert figure.axes[0].get_position().width > 0.4  # the names leave room for the rates
    legend = figure.legends[0].get_window_extent(canvas.get_renderer())
    assert 0 <= legend.x0 < legend.x1 <= figure.bbox.width


def test_a_task_stands_at_its_rate_with_its_interval_beside_its_other_setting():
    plan = robotwin()
    final = played(plan, lambda e: FAILURE if e.setting == "hard" and e.index == 0 else SUCCESS)
    easy, hard = plots.success_by_task(rows(plan, final)).axes[0].containers
    assert list(easy.lines[0].get_xdata()) == [100.0] * 51  # the last is their mean
    assert list(hard.lines[0].get_xdata()) == [50.0] * 51
    drawn = hard.lines[2][0].get_segments()
    for segment, (low, high) in ((drawn[0], wilson(1, 2)), (drawn[-1], stratified([Count(1, 2)] * 50))):
        assert segment[:, 0] == pytest.approx([100 * low, 100 * high])
    assert easy.lines[0].get_ydata()[0] < hard.lines[0].get_ydata()[0]


def test_the_curve_counts_successes_among_all_trials():
    plan = [Episode("toy", "reach", k, "", index=k) for k in range(4)]
    final = played(plan, lambda e: [SUCCESS, SUCCESS, FAILURE, ERROR][e.index])
    (line,) = plots.success_by_commands(trials_of(final)).axes[0].lines
    assert list(line.get_xdata()) == [0, 10, 11, 12]
    assert list(line.get_ydata()) == pytest.approx([0, 100 / 3, 200 / 3, 200 / 3])


def test_progress_is_the_share_of_trials_in_tenths_and_nothing_without_steps():
    episodes = [Episode("toy", "reach", k, "") for k in range(4)]
    steps = [0, 1, 4, 4]
    final = {
        e.id: EpisodeRecord(e, FAILURE, 1, 1.0, progress=n, max_progress=4)
        for e, n in zip(episodes, steps, strict=True)
    }
    (bars,) = plots.progress(trials_of(final)).axes[0].containers
    assert [bar.get_height() for bar in bars] == [25, 0, 25, 0, 0, 0, 0, 0, 0, 50]
    assert plots.progress(trials_of(played(episodes))) is None


def test_time_is_stacked_in_means_over_the_trials_that_say_it():
    plan = [Episode("toy", "reach", k, "") for k in range(4)]
    parts = plots.time_by_task(trials_of(played(plan))).axes[0].containers
    assert [(part[0].get_x(), part[0].get_width()) for part in parts] == [
        pytest.approx(pair) for pair in ((0.0, 0.5), (0.5, 0.4), (0.9, 0.1))
    ]
    assert plots.time_by_task(trials_of({e.id: EpisodeRecord(e, FAILURE, 1, 1.0) for e in plan})) is None


def test_plot_writes_vector_and_pixels_of_what_the_records_have(tmp_path, capsys):
    directory(tmp_path, *many(2, 10))
    assert main(["plot", str(tmp_path)]) == 0
    names = ["success-by-task.svg", "success-by-task.png", "success-by-commands.svg", "success-by-commands.png"]
    assert capsys.readouterr().out.split() == [str(tmp_path / "report" / name) for name in names]
    assert ">task_00</text>" in (tmp_path / "report" / names[0]).read_text()
    assert (tmp_path / "report" / names[1]).read_bytes().startswith(b"\x89PNG")


def test_the_same_run_is_the_same_picture(tmp_path):
    plan, records = many(2, 10)
    final = {record.episode.id: record for record in records}
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        plots.write(tmp_path / name, plots.of_run(rows(plan, final), final))
    for file in (tmp_path / "a").iterdir():
        assert file.read_bytes() == (tmp_path / "b" / file.name).read_bytes()


def test_a_name_with_dollar_signs_is_no_formula(tmp_path):
    plan = [Episode("toy", r"pay $\five$", 0, "")]
    final = played(plan)
    plots.write(tmp_path, plots.of_run(rows(plan, final), final))
    assert r">pay $\five$</text>" in (tmp_path / "success-by-task.svg").read_text()


def test_a_run_without_a_trial_has_nothing_to_draw(tmp_path, capsys):
    plan, records = many(1, 10)
    directory(tmp_path, plan, records[1:2])
    assert main(["plot", str(tmp_path)]) == 0
    assert "nothing to draw" in capsys.readouterr().out


def test_a_trainings_curve_has_both_losses_what_was_held_out_and_rates_with_their_intervals(tmp_path, capsys):
    steps = [{"step": n, "video": 1 / n, "action": 2 / n, "norm": 1.0} for n in range(1, 201)]
    looked = {"step": 100, "held_out": {"video": 0.5, "action": 0.6}}
    rates = [
        {"part": "tabletop", "task": task, "setting": "easy", "successes": n, "trials": 4}
        for n, task in enumerate("abc")
    ]
    figure = training_curve([*steps, looked, {"step": 200, "played": {"rates": rates}}])
    FigureCanvasAgg(figure).draw()
    video, action, won = figure.axes
    assert [list(line.get_xdata()) for line in video.lines] == [list(range(1, 201))] * 2 + [[100]]
    assert (list(action.lines[0].get_ydata())[:2], list(action.lines[2].get_ydata())) == ([2.0, 1.0], [0.6])
    assert video.lines[1].get_ydata()[99] == pytest.approx(sum(1 / n for n in range(98, 103)) / 5)
    (bars,) = won.containers
    assert bars.lines[0].get_ydata() == pytest.approx([25.0])
    assert bars.get_label() == "tabletop easy, 3 tasks"
    (tmp_path / "train.json").write_text("{}")
    assert main(["plot", str(tmp_path)]) == 2
    assert "has not taken a step yet" in capsys.readouterr().err
    writer = LineWriter(tmp_path / "curve.jsonl")
    for line in steps:
        writer.append(json.dumps(line).encode())
    assert main(["plot", str(tmp_path)]) == 0
    assert (tmp_path / "report" / "curve.png").stat().st_size > 10_000
