"""What an answer should cost: the loss of a row, the loss to expect of it, and the error with its sign."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

FLOOR = 0.01  # probabilities are clipped: one sure mistake must not outweigh a month
FOLDS, PIECES = 3, 12
LEAST_NOISE = 0.05  # of the usual noise of a row: no row is as good as known
FEW = 30  # rows that tell nothing of how probabilities are off
RIGHT = np.array([0.0, 1.0, 0.0])
CAPPED = 0.995  # squared errors beyond this quantile of the reference count as it
TASKS = ("binary", "multiclass", "regression")


def folds(n: int) -> np.ndarray:
    """The fold of each of n rows in time order, (n,).

    Random folds would leak from row to row, and make residuals look smaller than they will be; three long ones would each lack a season,
    and make a bias of it that the refit on all has not. So a fold takes every third of twelve pieces of the time.
    """
    return np.asarray(np.arange(n) * PIECES // max(n, 1) % FOLDS)


def clipped(p: np.ndarray) -> np.ndarray:
    """Probabilities inside [0.01, 0.99]."""
    return np.asarray(np.clip(p, FLOOR, 1 - FLOOR))


def logit(p: np.ndarray) -> np.ndarray:
    """log(p / (1 - p)) of clipped probabilities."""
    p = clipped(p)
    return np.asarray(np.log(p / (1 - p)))


def sigmoid(x: np.ndarray) -> np.ndarray:
    """The other way."""
    return np.asarray(1 / (1 + np.exp(-np.clip(x, -30, 30))))


@dataclass(frozen=True, eq=False)
class Outcome:
    """How a model's answers are priced.

    `curve` (classes, 3) recalibrates each class's probability: sigmoid(a + b logit p + c logit(p)^2 / 4). For regression `cap` is the
    largest squared error that counts, `bias` the reference's mean error, `scale` the answers' standard deviation, `weights` tell the
    squared error from the conditionals' basis and the answer. `loss` is the mean loss of the reference (L0), `spread` the mean of
    p (1 - p) or of the squared error, `unrest` the mean variance of a row's loss as its answer tells it.
    """

    task: str
    classes: int
    curve: np.ndarray
    cap: float
    bias: float
    scale: float
    weights: np.ndarray
    loss: float
    spread: float
    unrest: float

    @classmethod
    def fit(cls, task: str, label: np.ndarray, answer: np.ndarray, basis: np.ndarray) -> tuple[Outcome, dict[str, np.ndarray]]:
        """Fit on labelled reference rows in time order; `answer` is (n,) or (n, classes). Answers also their out-of-fold channels."""
        fold = folds(len(label))
        whole = cls._fit_all(task, label, answer, basis)
        parts: dict[str, np.ndarray] = {}
        for number in range(FOLDS):
            mine = fold == number
            if mine.any():
                part = cls._fit_all(task, label[~mine], answer[~mine], basis[~mine])
                for name, values in part.channels(label[mine], answer[mine], basis[mine]).items():
                    parts.setdefault(name, np.full(len(label), np.nan))[mine] = values
        return whole, parts

    @classmethod
    def _fit_all(cls, task: str, label: np.ndarray, answer: np.ndarray, basis: np.ndarray) -> Outcome:
        if task == "regression":
            error = label - answer
            cap = float(np.quantile(error**2, CAPPED)) if len(error) else 1.0
            squared = np.minimum(error**2, cap)
            scale = max(float(answer.std()), 1e-9) if len(answer) else 1.0
            design = _with_answer(basis, answer / scale)
            weights = np.linalg.solve(design.T @ design + 10.0 * np.eye(design.shape[1]), design.T @ squared)
            bias, loss = float(error.mean()), float(squared.mean())
            made = cls(task, 1, np.zeros((1, 3)), cap, bias, scale, weights, loss, loss, 1.0)
            return replace(made, unrest=float((made.expected(answer, basis) ** 2).mean()))
        classes = 1 if task == "binary" else answer.shape[1]
        p = answer.reshape(len(answer), classes)
        hits = [label == 1] if task == "binary" else [label == number for number in range(classes)]
        curve = np.array([_calibrate(p[:, number], hit) for number, hit in enumerate(hits)])
        made = cls(task, classes, curve, 0.0, 0.0, 1.0, np.empty(0), 1.0, 1.0, 1.0)
        right = made.calibrated(answer)
        loss = float(made.losses(label, answer).mean()) if len(label) else 1.0
        spread = float((right * (1 - right)).mean(axis=0).max()) if len(label) else 0.25
        unrest = float(made._loss_variance(answer).mean()) if len(label) else 1.0
        return replace(made, loss=loss, spread=max(spread, 1e-9), unrest=max(unrest, 1e-9))

    def calibrated(self, answer: np.ndarray) -> np.ndarray:
        """Recalibrated probabilities, (n, classes); of a binary task the one of class 1."""
        x = logit(answer.reshape(len(answer), self.classes))
        p = sigmoid(self.curve[:, 0] + self.curve[:, 1] * x + self.curve[:, 2] * x * x / 4)
        return p if self.task == "binary" else p / np.maximum(p.sum(axis=1, keepdims=True), 1e-9)

    def recalibrated(self, label: np.ndarray, answer: np.ndarray) -> Outcome:
        """Fitted anew on labels that came since, held towards what it was: the curve of each class, or the mean error."""
        if self.task == "regression":
            return replace(self, bias=float((label - answer).mean())) if len(label) else self
        p = answer.reshape(len(answer), self.classes)
        hits = [label == 1] if self.task == "binary" else [label == number for number in range(self.classes)]
        return replace(self, curve=np.array([_calibrate(p[:, at], hit, self.curve[at]) for at, hit in enumerate(hits)]))

    def best(self, answer: np.ndarray) -> np.ndarray:
        """The answer to give in place of this one: recalibrated, without the mean error; shaped like `answer`."""
        return answer + self.bias if self.task == "regression" else self.calibrated(answer).reshape(answer.shape)

    def losses(self, label: np.ndarray, answer: np.ndarray) -> np.ndarray:
        """The loss of each row, (n,): log loss, or the capped squared error."""
        if self.task == "regression":
            return np.asarray(np.minimum((label - answer) ** 2, self.cap))
        if self.task == "binary":
            p = clipped(answer)
            return np.asarray(-np.log(np.where(label == 1, p, 1 - p)))
        return np.asarray(-np.log(clipped(answer)[np.arange(len(label)), label.astype(int)]))

    def expected(self, answer: np.ndarray, basis: np.ndarray) -> np.ndarray:
        """The loss to expect of each row, label unseen, (n,)."""
        if self.task == "regression":
            return np.asarray(np.clip(_with_answer(basis, answer / self.scale) @ self.weights, 0.05 * self.loss, self.cap))
        p, right = clipped(answer), self.calibrated(answer)
        if self.task == "binary":
            right = right[:, 0]
            return np.asarray(-right * np.log(p) - (1 - right) * np.log(1 - p))
        return np.asarray(-(right * np.log(p)).sum(axis=1))

    def noise(self, answer: np.ndarray, basis: np.ndarray) -> dict[str, np.ndarray]:
        """How noisy each row of `channels` is, as its answer tells: its variance over that of a usual row, (n,) each.

        A sure answer is seldom wrong and says much when it is; batches differ in how many such rows they have.
        """
        if self.task == "regression":
            share = self.expected(answer, basis) / max(self.spread, 1e-12)
            found = {"gap": share**2 * self.spread**2 / max(self.unrest, 1e-12), "signed": share}
        else:
            right = self.calibrated(answer)
            apart = right * (1 - right) / self.spread
            names = ["signed"] if self.task == "binary" else [f"signed:{number}" for number in range(self.classes)]
            found = {"gap": self._loss_variance(answer) / self.unrest, **dict(zip(names, apart.T, strict=True))}
        return {"loss": np.ones(len(answer)), **{name: np.maximum(values, LEAST_NOISE) for name, values in found.items()}}

    def _loss_variance(self, answer: np.ndarray) -> np.ndarray:
        """Of the log loss of each row, when the recalibrated probabilities are right, (n,)."""
        right, p = self.calibrated(answer), clipped(answer)
        if self.task == "binary":
            return np.asarray(right[:, 0] * (1 - right[:, 0]) * logit(p) ** 2)
        return np.asarray((right * np.log(p) ** 2).sum(axis=1) - (right * np.log(p)).sum(axis=1) ** 2)

    def against(self, label: np.ndarray, answer: np.ndarray, shift: float) -> np.ndarray:
        """How much likelier the reference makes each binary label than a constant `shift` of the logit would, in nats; (n,)."""
        right = self.calibrated(answer)[:, 0]
        p, moved = clipped(right), clipped(sigmoid(logit(right) + shift))
        return np.asarray(np.where(label == 1, np.log(p / moved), np.log((1 - p) / (1 - moved))))

    def divergence(self, better: np.ndarray, answer: np.ndarray) -> np.ndarray:
        """What answering `answer` where `better` is right costs, (n,): Kullback-Leibler, or the squared difference."""
        if self.task == "regression":
            return np.asarray((better - answer) ** 2)
        q, p = clipped(better), clipped(answer)
        if self.task == "binary":
            return np.asarray(q * np.log(q / p) + (1 - q) * np.log((1 - q) / (1 - p)))
        return np.asarray((q * np.log(q / p)).sum(axis=1))

    def channels(self, label: np.ndarray, answer: np.ndarray, basis: np.ndarray) -> dict[str, np.ndarray]:
        """Row values of the label channels: `gap` (loss beyond the expected one), `loss`, and `signed` errors."""
        loss = self.losses(label, answer)
        found = {"gap": loss - self.expected(answer, basis), "loss": loss}
        if self.task == "regression":
            return {**found, "signed": label - answer - self.bias}
        right = self.calibrated(answer)
        if self.task == "binary":
            return {**found, "signed": label - right[:, 0]}
        return {**found, **{f"signed:{number}": (label == number) - right[:, number] for number in range(self.classes)}}


def _with_answer(basis: np.ndarray, answer: np.ndarray) -> np.ndarray:
    return np.column_stack([basis, answer, answer**2])


def _calibrate(p: np.ndarray, hit: np.ndarray, prior: np.ndarray = RIGHT, rounds: int = 25) -> np.ndarray:
    """Penalised logistic regression on logit p and its square, towards `prior`, at first that the model is right (Platt 1999; one more)."""
    if len(p) < FEW or hit.all() or not hit.any():
        return prior
    x = logit(p)
    design = np.column_stack([np.ones_like(x), x, x * x / 4])
    weights = prior
    penalty = np.diag([0.5, 5.0, 20.0])
    for _ in range(rounds):
        q = sigmoid(design @ weights)
        gradient = design.T @ (hit - q) - penalty @ (weights - prior)
        hessian = design.T @ (design * (q * (1 - q))[:, None]) + penalty
        step = np.linalg.solve(hessian, gradient)
        weights = weights + step
        if np.abs(step).max() < 1e-8:
            break
    return np.asarray(weights)
