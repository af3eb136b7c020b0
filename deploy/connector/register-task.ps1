# Starts the connector when Windows starts, and again when it ends. Run once as an administrator:
#
#   powershell -ExecutionPolicy Bypass -File .\register-task.ps1
#
# Undo: Unregister-ScheduledTask -TaskName kore-connector
param([string] $TaskName = 'kore-connector', [string] $User = 'NT AUTHORITY\LOCAL SERVICE')
$ErrorActionPreference = 'Stop'
$folder = Split-Path -Parent $MyInvocation.MyCommand.Path
$cmd = Join-Path $folder 'koreconnector.cmd'

# The task's user reads everything here, and writes only what the agent writes.
icacls $folder /grant "${User}:(OI)(CI)RX" | Out-Null
foreach ($name in 'config', 'credentials', 'run', 'logs', 'audits', 'spool') {
  icacls (Join-Path $folder $name) /grant "${User}:(OI)(CI)M" | Out-Null
}

$action = New-ScheduledTaskAction -Execute $env:ComSpec -Argument "/d /c `"`"$cmd`" run`"" -WorkingDirectory $folder
$trigger = New-ScheduledTaskTrigger -AtStartup
$principal = New-ScheduledTaskPrincipal -UserId $User -LogonType ServiceAccount
$settings = New-ScheduledTaskSettingsSet -RestartCount 999 -RestartInterval (New-TimeSpan -Minutes 1) `
  -ExecutionTimeLimit ([TimeSpan]::Zero) -AllowStartIfOnBatteries -DontStopIfGoingOnBatteries -MultipleInstances IgnoreNew
Register-ScheduledTask -TaskName $TaskName -Action $action -Trigger $trigger -Principal $principal -Settings $settings -Force | Out-Null
Start-ScheduledTask -TaskName $TaskName
Write-Output "registered and started: $TaskName"
