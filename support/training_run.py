"""Everything around the iterations of a training run: resume, signals, progress, checkpoints, final files."""

import contextlib

from support.command_line import interrupts
from support.command_line.progress import Progress, clock, say, warn
from support.drawing import draw_digits
from support.evaluation.epoch_figures import in_words, outlook, real_distance
from support.machine import replicas
from support.results import files
from support.results.run_files import RunFiles


@contextlib.contextmanager
def training_run(training, options, about, epoch_length, judge):
    """A block that trains: yields a TrainingRun. If the run is finished, writes its last files after the block.

    training: what build_training returns; set to a checkpoint if the options ask to resume. options: complete. about:
    what describe_run returns. epoch_length: in iterations. judge: a function without arguments, called
    after each epoch, that returns figures, floats by name. If a signal came, raises Interrupted after the block.
    """
    chief = replicas.is_chief()
    with contextlib.ExitStack() as held:
        if chief:
            held.enter_context(files.own_folder(options.models_dir))
        saved = RunFiles(options.models_dir, about, training.variables, options.resume, writes=chief)
        signals = held.enter_context(interrupts.deferred())
        run = TrainingRun(training, options, saved, signals, epoch_length, judge)
        if chief:
            run.print_start(about)
        yield run
        if run.done >= run.total:
            saved.finish(real={"frechet_distance": real_distance()})
            if chief and (line := outlook(saved.history, options.recipe)):
                say(line)
        if asked := run.asked or signals.asked:
            raise interrupts.Interrupted(asked, saved=bool(saved.own) if chief else None)


class TrainingRun:
    """Counts iterations; after each one, reports and saves if it is time to. See training_run."""

    def __init__(self, training, options, saved, signals, epoch_length, judge):
        self.training, self.options, self.saved, self.signals = training, options, saved, signals
        self.epoch_length, self.judge = epoch_length, judge
        self.total, self.done = options.epochs * epoch_length, int(training.iteration.numpy())
        self.progress = Progress(self.total, self.done, silent=not saved.writes)
        self.asked = None  # the number of the signal that asks this run to end

    def print_start(self, about):
        """Prints a line about the run that starts: recipe, length, data, device, folder."""
        epochs, data = len(self.saved.history), about["data"]
        if self.done >= self.total:
            warn(f"{epochs} epochs of training are done already; a larger --epochs continues from there")
            return
        start = f"resumes after {self.done:,} of" if self.done else "trains for"
        say(
            f"{self.options.recipe} {start} {self.total:,} iterations ({self.options.epochs} epochs) on "
            f"{data['images']:,} images of {data['source']}; {about['device']['name']}; results go to "
            f"{self.options.models_dir}"
        )

    def iterations(self):
        """Yields once for each remaining iteration, which the caller does. Stops early if a signal comes."""
        while self.done < self.total and not self.asked:
            yield
            self.done += 1
            self._report_and_save()

    def save_models(self, **models):
        """Saves Keras models by name. For a run that is finished or interrupted."""
        self.saved.save_models(**models)

    def _report_and_save(self):
        done, in_epoch = self.done, (self.done - 1) % self.epoch_length + 1
        epoch_ends = in_epoch == self.epoch_length
        where = f"epoch {-(-done // self.epoch_length)}/{self.options.epochs}"
        self.asked = replicas.agree(self.signals.asked, done % 10 == 0 or done == self.total)
        if self.asked and not epoch_ends and not self.saved.worth_saving():
            return
        if self.progress.due():  # not after every iteration: to read a value, the host waits for the device
            self.training.iteration.numpy()  # the device has done it
            speed = (self.progress.speed(done) or 0) * self.options.n_critic * self.options.batch_size
            self.progress.show(done, f"{where}, {speed:.0f} images/s")
        if epoch_ends or self.asked or self.saved.checkpoint_due():
            figures = self.saved.checked(self.training.columns, self.training.sums.numpy() / in_epoch, done)
            if epoch_ends:
                self.training.sums.assign([0.0] * len(figures))
                samples = next(draw_digits(self.training.average, 100, self.options.seed))
                figures |= self.judge()  # on all machines: it trains the critic
                self.saved.save_epoch(done, figures, samples, self.options.tensorboard)
            self.saved.save_checkpoint(done)
            if epoch_ends:
                self.progress.say(done, f"{where}, {in_words(figures)}, {clock(self.saved.seconds())}")
