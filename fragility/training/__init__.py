"""The trainings: how a stack of models is brought from its start to its end."""

from fragility.training.base import TRAINING as TRAINING
from fragility.training.base import Checkpoint as Checkpoint
from fragility.training.base import Fit as Fit
from fragility.training.base import Order as Order
from fragility.training.base import Recorder as Recorder
from fragility.training.base import Start as Start
from fragility.training.base import State as State
from fragility.training.base import Training as Training
from fragility.training.base import Trajectory as Trajectory
from fragility.training.base import Watches as Watches
