"""Every refusal Keepwell can make, drawn as one tree.

    KeepwellError
      SettingError            SettingInvalid, SettingUnknown
      ProjectError            ProjectNotFound, ProjectExists, ExtraMissing, NameInvalid, FunctionMissing, FunctionBroken,
                              EstimatorInvalid
      DataError               SourceInvalid, SchemaMismatch, ContractBroken, LooksAhead, LookbackTooShort,
                              EmptyWindow, FrameInvalid, WatchStateInvalid, InputInvalid, BodyTooLarge, ArchiveInvalid, TableInvalid,
                              ProfileInvalid, ProfilesDiffer
      NotFound                ModelNotFound, VersionNotFound, PredictionNotFound, QuarantineNotFound, RunNotFound, RouteNotFound,
                              BackupNotFound, VersionSwept, SliceNotFound
      Refused                 PromotionRefused, RollbackRefused, CycleRefused, FormatRefused, TrustRefused, AnswersDiffer, ModelFileInvalid,
                              TokenRefused, RestoreRefused, KeepingBusy, EnvironmentMismatch, NotRepeatable, FormRefused,
                              ActOvertaken
      BackendError            SourceUnavailable, StorageUnavailable, ArtifactCorrupt, ArtifactMissing, JournalCorrupt,
                              SchemaTooNew, NotReady, TableCorrupt, BackupCorrupt

A leaf takes facts, keeps them as attributes and writes the message itself: what was asked, what was found, what to do.
`status` is the HTTP answer, `headline` the bold line the command line prints first, `exit_code` the process's answer.
"""

from __future__ import annotations

from keepwell.errors.backends import (
    ArtifactCorrupt,
    ArtifactMissing,
    BackendError,
    BackupCorrupt,
    JournalCorrupt,
    NotReady,
    SchemaTooNew,
    SourceUnavailable,
    StorageUnavailable,
    TableCorrupt,
)
from keepwell.errors.contents import (
    ArchiveInvalid,
    BodyTooLarge,
    ContractBroken,
    DataError,
    EmptyWindow,
    FrameInvalid,
    InputInvalid,
    LookbackTooShort,
    LooksAhead,
    ProfileInvalid,
    ProfilesDiffer,
    SchemaMismatch,
    SourceInvalid,
    TableInvalid,
    WatchStateInvalid,
)
from keepwell.errors.missing import (
    BackupNotFound,
    ModelNotFound,
    NotFound,
    PredictionNotFound,
    QuarantineNotFound,
    RouteNotFound,
    RunNotFound,
    SliceNotFound,
    VersionNotFound,
    VersionSwept,
)
from keepwell.errors.projects import (
    EstimatorInvalid,
    ExtraMissing,
    FunctionBroken,
    FunctionMissing,
    NameInvalid,
    ProjectError,
    ProjectExists,
    ProjectNotFound,
)
from keepwell.errors.refusals import (
    ActOvertaken,
    AnswersDiffer,
    CycleRefused,
    EnvironmentMismatch,
    FormatRefused,
    FormRefused,
    KeepingBusy,
    ModelFileInvalid,
    NotRepeatable,
    PromotionRefused,
    Refused,
    RestoreRefused,
    RollbackRefused,
    TokenRefused,
    TrustRefused,
)
from keepwell.errors.root import KeepwellError, listed
from keepwell.errors.settings import SettingError, SettingInvalid, SettingUnknown

__all__ = [
    "ActOvertaken",
    "AnswersDiffer",
    "ArchiveInvalid",
    "ArtifactCorrupt",
    "ArtifactMissing",
    "BackendError",
    "BackupCorrupt",
    "BackupNotFound",
    "BodyTooLarge",
    "ContractBroken",
    "CycleRefused",
    "DataError",
    "EmptyWindow",
    "EnvironmentMismatch",
    "EstimatorInvalid",
    "ExtraMissing",
    "FormRefused",
    "FormatRefused",
    "FrameInvalid",
    "FunctionBroken",
    "FunctionMissing",
    "InputInvalid",
    "JournalCorrupt",
    "KeepingBusy",
    "KeepwellError",
    "LookbackTooShort",
    "LooksAhead",
    "ModelFileInvalid",
    "ModelNotFound",
    "NameInvalid",
    "NotFound",
    "NotReady",
    "NotRepeatable",
    "PredictionNotFound",
    "ProfileInvalid",
    "ProfilesDiffer",
    "ProjectError",
    "ProjectExists",
    "ProjectNotFound",
    "PromotionRefused",
    "QuarantineNotFound",
    "Refused",
    "RestoreRefused",
    "RollbackRefused",
    "RouteNotFound",
    "RunNotFound",
    "SchemaMismatch",
    "SchemaTooNew",
    "SettingError",
    "SettingInvalid",
    "SettingUnknown",
    "SliceNotFound",
    "SourceInvalid",
    "SourceUnavailable",
    "StorageUnavailable",
    "TableCorrupt",
    "TableInvalid",
    "TokenRefused",
    "TrustRefused",
    "VersionNotFound",
    "VersionSwept",
    "WatchStateInvalid",
    "listed",
]
