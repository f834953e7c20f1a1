"""Every field of DescribeDBClusters: carried over to a restored cluster, compared, or left with the reason why."""

from recovery.rds_settings import Carried, Table

_ITSELF = "it says which cluster this is, and not how it is set"
_STATE = "it says how the cluster is doing"
_SOURCE = "the restore takes it from the damaged one, and no call changes it"
_MULTI_AZ = "it is of Multi-AZ clusters, which are not Aurora's"
_MYSQL = "it is of Aurora MySQL"
_SERVERLESS_1 = "it is of Aurora Serverless v1, which AWS has ended"

CLUSTERS = Table(
    carried={
        "Port": Carried("Port", "Port"),
        "DBSubnetGroup": Carried("DBSubnetGroupName"),
        "VpcSecurityGroups": Carried("VpcSecurityGroupIds", "VpcSecurityGroupIds"),
        "DBClusterParameterGroup": Carried("DBClusterParameterGroupName", "DBClusterParameterGroupName"),
        "StorageType": Carried("StorageType", "StorageType"),
        "BackupRetentionPeriod": Carried("BackupRetentionPeriod", "BackupRetentionPeriod"),
        "PreferredBackupWindow": Carried("PreferredBackupWindow", "PreferredBackupWindow"),
        "PreferredMaintenanceWindow": Carried(None, "PreferredMaintenanceWindow"),
        "CopyTagsToSnapshot": Carried("CopyTagsToSnapshot", "CopyTagsToSnapshot"),
        "IAMDatabaseAuthenticationEnabled": Carried(
            "EnableIAMDatabaseAuthentication", "EnableIAMDatabaseAuthentication"
        ),
        "EnabledCloudwatchLogsExports": Carried("EnableCloudwatchLogsExports"),
        "DeletionProtection": Carried("DeletionProtection", "DeletionProtection"),
        "NetworkType": Carried("NetworkType", "NetworkType"),
        "EngineLifecycleSupport": Carried("EngineLifecycleSupport"),
        "KmsKeyId": Carried("KmsKeyId"),
        "DatabaseInsightsMode": Carried(None, "DatabaseInsightsMode"),
        "ServerlessV2ScalingConfiguration": Carried(
            "ServerlessV2ScalingConfiguration", "ServerlessV2ScalingConfiguration"
        ),
        "MasterUserSecret": Carried(None, "ManageMasterUserPassword"),
    },
    compared={
        "Engine": _SOURCE, "EngineVersion": _SOURCE, "EngineMode": _SOURCE, "MasterUsername": _SOURCE,
        "DatabaseName": _SOURCE, "StorageEncrypted": _SOURCE, "StorageEncryptionType": _SOURCE,
        "ClusterScalabilityType": _SOURCE, "VPCNetworkingEnabled": _SOURCE, "InternetAccessGatewayEnabled": _SOURCE,
        "AssociatedRoles": "a role is given by `aws rds add-role-to-db-cluster`, which is a person's to allow",
        "DomainMemberships": "joining a domain takes a secret of the domain",
        "ActivityStreamStatus": "a stream is started by `aws rds start-activity-stream`, with a key of its own",
        "HttpEndpointEnabled": "the Data API is switched on by `aws rds enable-http-endpoint`",
    },
    left={
        "DBClusterIdentifier": _ITSELF, "DbClusterResourceId": _ITSELF, "DBClusterArn": _ITSELF,
        "HostedZoneId": _ITSELF, "ClusterCreateTime": _ITSELF, "DBSystemId": _ITSELF, "CloneGroupId": _ITSELF,
        "CrossAccountClone": _ITSELF, "Endpoint": _ITSELF, "ReaderEndpoint": _ITSELF,
        "Status": _STATE, "PercentProgress": _STATE, "EarliestRestorableTime": _STATE, "LatestRestorableTime": _STATE,
        "StatusInfos": _STATE, "Capacity": _STATE, "IOOptimizedNextAllowedModificationTime": _STATE,
        "ServerlessV2PlatformVersion": _STATE,
        "AllocatedStorage": "Aurora's storage grows by itself",
        "AvailabilityZones": "Aurora lays its storage over three zones of the subnet group",
        "CustomEndpoints": "custom endpoints stay with the damaged one: the plan says so",
        "DBClusterMembers": "its instances are made one by one, as the damaged one's are",
        "MultiAZ": "it follows from the instances",
        "PendingModifiedValues": "the exchange of names waits until it is empty",
        "TagList": "tags are carried over and compared one by one, but for AWS's own",
        "CertificateDetails": _MULTI_AZ, "DBClusterInstanceClass": _MULTI_AZ, "Iops": _MULTI_AZ,
        "StorageThroughput": _MULTI_AZ, "PubliclyAccessible": _MULTI_AZ, "AutoMinorVersionUpgrade": _MULTI_AZ,
        "MonitoringInterval": "it is carried over with each instance",
        "MonitoringRoleArn": "it is carried over with each instance",
        "PerformanceInsightsEnabled": "it is carried over with each instance",
        "PerformanceInsightsKMSKeyId": "it is carried over with each instance",
        "PerformanceInsightsRetentionPeriod": "it is carried over with each instance",
        "DBClusterOptionGroupMemberships": "option groups of clusters are not supported by Aurora",
        "UpgradeRolloutOrder": "it comes from the policies of the organisation",
        "AwsBackupRecoveryPointArn": "AWS Backup's plan follows the tags",
        "ReplicationSourceIdentifier": "a replica is refused: it is its source that is restored",
        "ReadReplicaIdentifiers": "replicas go on following the damaged one: the plan says so",
        "GlobalClusterIdentifier": "a member of a global cluster is refused: other regions follow the damaged one",
        "GlobalWriteForwardingStatus": "it is of global clusters, which are refused",
        "GlobalWriteForwardingRequested": "it is of global clusters, which are refused",
        "BacktrackWindow": _MYSQL, "EarliestBacktrackTime": _MYSQL, "BacktrackConsumedChangeRecords": _MYSQL,
        "LocalWriteForwardingStatus": _MYSQL, "CharacterSetName": _MYSQL,
        "ScalingConfigurationInfo": _SERVERLESS_1,
        "RdsCustomClusterConfiguration": "it is of RDS Custom",
        "LimitlessDatabase": "ClusterScalabilityType says whether it is one",
        "ActivityStreamMode": "it is given when the stream is started",
        "ActivityStreamKmsKeyId": "it is given when the stream is started",
        "ActivityStreamKinesisStreamName": "RDS makes it when the stream is started",
        "AutomaticRestartTime": "it is of a stopped cluster, which is refused",
    },
)  # fmt: skip
