"""A trained model seen from its last layers: its frozen prefix is computed once."""

from __future__ import annotations

from dataclasses import replace

from fragility.numerics.evaluate import features_of
from fragility.numerics.network import Layout
from fragility.numerics.trained import TrainedModel


def on_features(model: TrainedModel, layout: Layout) -> TrainedModel:
    """Returns the same losses as functions of the same parameters, of a shorter network.

    The part of the network before the first of the parameters in `layout` is constant: its outputs
    become the inputs. A network that has no such part stays as it is. The history of a training of
    all parameters is none of theirs, and is left out.
    """
    parts = model.network.split(layout)
    if parts is None:
        return model
    prefix, suffix = parts
    return replace(
        model,
        network=suffix,
        parameters={name: model.parameters[name] for name in suffix.layout.names},
        decay={name: model.decay[name] for name in suffix.layout.names},
        inputs=features_of(prefix, model.parameters, model.inputs),
        penalties=tuple(
            replace(one, strengths={n: one.strengths.get(n, 0.0) for n in suffix.layout.names})
            for one in model.penalties
        ),
        test_inputs=features_of(prefix, model.parameters, model.test_inputs),
        history=None,
    )
