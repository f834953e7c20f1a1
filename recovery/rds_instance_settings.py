"""Every field of DescribeDBInstances: carried over to a restored instance, compared, or left with the reason why.

A test holds this against the service's own description, so that a field that AWS adds is decided about.
"""

from recovery.rds_settings import Carried, Table

_ITSELF = "it says which instance this is, and not how it is set"
_STATE = "it says how the instance is doing"
_SOURCE = "the restore takes it from the damaged one, and no call changes it"
_CLUSTERS_MATTER = "it is a matter of the cluster"
_OTHER_ENGINE = "it is of other engines than PostgreSQL"

INSTANCES = Table(
    carried={
        "DBInstanceClass": Carried("DBInstanceClass", "DBInstanceClass", "DBInstanceClass"),
        "Endpoint": Carried("Port", "DBPortNumber"),
        "DBSubnetGroup": Carried("DBSubnetGroupName"),
        "VpcSecurityGroups": Carried("VpcSecurityGroupIds", "VpcSecurityGroupIds"),
        "DBParameterGroups": Carried("DBParameterGroupName", "DBParameterGroupName", "DBParameterGroupName"),
        "OptionGroupMemberships": Carried("OptionGroupName", "OptionGroupName"),
        "MultiAZ": Carried("MultiAZ", "MultiAZ"),
        "PubliclyAccessible": Carried("PubliclyAccessible", "PubliclyAccessible", "PubliclyAccessible"),
        "AutoMinorVersionUpgrade": Carried(
            "AutoMinorVersionUpgrade", "AutoMinorVersionUpgrade", "AutoMinorVersionUpgrade"
        ),
        "StorageType": Carried("StorageType", "StorageType"),
        "AllocatedStorage": Carried("AllocatedStorage", "AllocatedStorage"),
        "MaxAllocatedStorage": Carried("MaxAllocatedStorage", "MaxAllocatedStorage"),
        "Iops": Carried("Iops", "Iops"),
        "StorageThroughput": Carried("StorageThroughput", "StorageThroughput"),
        "DedicatedLogVolume": Carried("DedicatedLogVolume", "DedicatedLogVolume"),
        "BackupRetentionPeriod": Carried("BackupRetentionPeriod", "BackupRetentionPeriod"),
        "PreferredBackupWindow": Carried("PreferredBackupWindow", "PreferredBackupWindow"),
        "PreferredMaintenanceWindow": Carried(
            None, "PreferredMaintenanceWindow", "PreferredMaintenanceWindow"
        ),
        "CopyTagsToSnapshot": Carried("CopyTagsToSnapshot", "CopyTagsToSnapshot", "CopyTagsToSnapshot"),
        "IAMDatabaseAuthenticationEnabled": Carried(
            "EnableIAMDatabaseAuthentication", "EnableIAMDatabaseAuthentication"
        ),
        "EnabledCloudwatchLogsExports": Carried("EnableCloudwatchLogsExports"),
        "DeletionProtection": Carried("DeletionProtection", "DeletionProtection"),
        "NetworkType": Carried("NetworkType", "NetworkType"),
        "CACertificateIdentifier": Carried(
            "CACertificateIdentifier", "CACertificateIdentifier", "CACertificateIdentifier"
        ),
        "EngineLifecycleSupport": Carried("EngineLifecycleSupport"),
        "MonitoringInterval": Carried(None, "MonitoringInterval", "MonitoringInterval"),
        "MonitoringRoleArn": Carried(None, "MonitoringRoleArn", "MonitoringRoleArn"),
        "DatabaseInsightsMode": Carried(None, "DatabaseInsightsMode"),
        "PerformanceInsightsEnabled": Carried(None, "EnablePerformanceInsights", "EnablePerformanceInsights"),
        "PerformanceInsightsKMSKeyId": Carried(None, "PerformanceInsightsKMSKeyId", "PerformanceInsightsKMSKeyId"),
        "PerformanceInsightsRetentionPeriod": Carried(
            None, "PerformanceInsightsRetentionPeriod", "PerformanceInsightsRetentionPeriod"
        ),
        "PromotionTier": Carried(None, "PromotionTier", "PromotionTier"),
        "MasterUserSecret": Carried(None, "ManageMasterUserPassword"),
    },
    compared={
        "Engine": _SOURCE,
        "EngineVersion": _SOURCE,
        "MasterUsername": _SOURCE,
        "DBName": _SOURCE,
        "StorageEncrypted": _SOURCE,
        "StorageEncryptionType": _SOURCE,
        "KmsKeyId": _SOURCE,
        "BackupTarget": _SOURCE,
        "CustomerOwnedIpEnabled": _SOURCE,
        "AssociatedRoles": "a role is given by `aws rds add-role-to-db-instance`, which is a person's to allow",
        "DomainMemberships": "joining a domain takes a secret of the domain",
        "ActivityStreamStatus": "a stream is started by `aws rds start-activity-stream`, with a key of its own",
    },
    left={
        "DBInstanceIdentifier": _ITSELF, "InstanceCreateTime": _ITSELF, "DbiResourceId": _ITSELF,
        "DBInstanceArn": _ITSELF, "DBSystemId": _ITSELF, "DBClusterIdentifier": _ITSELF,
        "DBInstanceStatus": _STATE, "LatestRestorableTime": _STATE, "StatusInfos": _STATE, "PercentProgress": _STATE,
        "StorageVolumeStatus": _STATE, "StorageOperationStatus": _STATE, "StorageOperationPercentProgress": _STATE,
        "IsStorageConfigUpgradeAvailable": _STATE, "EnhancedMonitoringResourceArn": _STATE,
        "CertificateDetails": "it is the certificate that CACertificateIdentifier names",
        "PendingModifiedValues": "the exchange of names waits until it is empty",
        "TagList": "tags are carried over and compared one by one, but for AWS's own",
        "DbInstancePort": "Endpoint has the port",
        "ListenerEndpoint": _OTHER_ENGINE, "PrimaryEndpoint": _OTHER_ENGINE,
        "AvailabilityZone": "the zone of the damaged one may lack the capacity; the subnet group says where it may be",
        "SecondaryAvailabilityZone": "RDS chooses it",
        "UpgradeRolloutOrder": "it comes from the policies of the organisation",
        "AwsBackupRecoveryPointArn": "AWS Backup's plan follows the tags",
        "DBInstanceAutomatedBackupsReplications": "a replication belongs to the instance it was begun for",
        "ReadReplicaSourceDBInstanceIdentifier": "a replica is refused: it is its source that is restored",
        "ReadReplicaSourceDBClusterIdentifier": "a replica is refused: it is its source that is restored",
        "ReadReplicaDBInstanceIdentifiers": "replicas go on following the damaged one: the plan says so",
        "ReadReplicaDBClusterIdentifiers": "replicas go on following the damaged one: the plan says so",
        "DBSecurityGroups": "EC2-Classic is gone",
        "LicenseModel": "PostgreSQL has one alone",
        "DBCapacityReservationIdentifier": "the damaged one holds the reservation as long as it is kept",
        "ActivityStreamKmsKeyId": "it is given when the stream is started",
        "ActivityStreamKinesisStreamName": "RDS makes it when the stream is started",
        "ActivityStreamMode": "it is given when the stream is started",
        "ActivityStreamEngineNativeAuditFieldsIncluded": _OTHER_ENGINE,
        "ActivityStreamPolicyStatus": _OTHER_ENGINE,
        "VPCNetworkingEnabled": _CLUSTERS_MATTER,
        "ReplicaMode": _OTHER_ENGINE, "CharacterSetName": _OTHER_ENGINE, "NcharCharacterSetName": _OTHER_ENGINE,
        "TdeCredentialArn": _OTHER_ENGINE, "ProcessorFeatures": _OTHER_ENGINE, "Timezone": _OTHER_ENGINE,
        "AutomationMode": _OTHER_ENGINE, "ResumeFullAutomationModeTime": _OTHER_ENGINE,
        "CustomIamInstanceProfile": _OTHER_ENGINE, "MultiTenant": _OTHER_ENGINE,
        "AdditionalStorageVolumes": _OTHER_ENGINE,
        "AutomaticRestartTime": "it is of a stopped instance, which is refused",
    },
)  # fmt: skip

_OF_THE_CLUSTER = frozenset(
    {
        "Endpoint", "DBSubnetGroup", "VpcSecurityGroups", "OptionGroupMemberships", "MultiAZ", "StorageType",
        "AllocatedStorage", "MaxAllocatedStorage", "Iops", "StorageThroughput", "DedicatedLogVolume",
        "BackupRetentionPeriod", "PreferredBackupWindow", "IAMDatabaseAuthenticationEnabled",
        "EnabledCloudwatchLogsExports", "DeletionProtection", "NetworkType", "EngineLifecycleSupport",
        "DatabaseInsightsMode", "MasterUserSecret",
    }
)  # fmt: skip
MEMBERS = Table(
    carried={name: how for name, how in INSTANCES.carried.items() if name not in _OF_THE_CLUSTER},
    compared={"Engine": _SOURCE, "EngineVersion": _SOURCE},
    left={**INSTANCES.left}
    | dict.fromkeys([*_OF_THE_CLUSTER, *INSTANCES.compared.keys() - {"Engine", "EngineVersion"}], _CLUSTERS_MATTER),
)
