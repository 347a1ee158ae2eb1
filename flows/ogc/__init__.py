"""OGC API - Processes in front of the deployments: jobs are Prefect's flow runs, processes its deployments, behind keys of its own."""
