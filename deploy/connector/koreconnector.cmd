@echo off
rem The connector on Windows.
rem
rem   koreconnector.cmd start ^| stop ^| status     in the background
rem   koreconnector.cmd run                       in the foreground, for the Task Scheduler or a service
rem   koreconnector.cmd check ^| version ^| audit   as docs/connector says
rem
rem KORE_CONNECTOR_NODE names the Node.js to use.
setlocal EnableExtensions DisableDelayedExpansion
set "KORE_HOME=%~dp0"
set "KORE_NODE="
set "KORE_REFUSED="

rem The single executable, where it was put here, needs no Node.js.
if exist "%KORE_HOME%kore-connector.exe" (
  "%KORE_HOME%kore-connector.exe" %*
  goto :end
)

if defined KORE_CONNECTOR_NODE (
  call :try "%KORE_CONNECTOR_NODE%"
  goto :found
)
call :try "%KORE_HOME%node\node.exe"
for /f "delims=" %%N in ('where node 2^>nul') do call :try "%%~N"
call :try "%ProgramFiles%\nodejs\node.exe"
if defined NVM_SYMLINK call :try "%NVM_SYMLINK%\node.exe"

:found
if defined KORE_NODE (
  "%KORE_NODE%" "%KORE_HOME%lib\kore-connector.js" %*
  goto :end
)
if defined KORE_REFUSED (
  rem Once more, for the sentence that it says.
  "%KORE_REFUSED%" "%KORE_HOME%lib\check-node.js"
  exit /b 1
)
echo kore-connector needs Node.js and found none; see https://nodejs.org/en/download/ 1>&2
exit /b 1

:end
exit /b %ERRORLEVEL%

:try
if defined KORE_NODE exit /b 0
if not exist "%~1" exit /b 0
"%~1" "%KORE_HOME%lib\check-node.js" >nul 2>nul
if errorlevel 1 (
  if not defined KORE_REFUSED set "KORE_REFUSED=%~1"
  exit /b 0
)
set "KORE_NODE=%~1"
exit /b 0
