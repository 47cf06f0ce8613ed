# What is installed where, and the Debian packages:
#
#   cpack --config build/release/CPackConfig.cmake     fleet_VERSION_amd64.deb, fleetctl_VERSION_amd64.deb
#
# A component is a package. What belongs into one later needs an install() rule with its COMPONENT and nothing else.

foreach(program fleetd fleetctl)
  if(TARGET ${program})
    # Addresses are settled once, at the start, and no longer writable after it.
    target_link_options(${program} PRIVATE LINKER:-z,relro,-z,now)
  endif()
endforeach()

set(packaging ${CMAKE_SOURCE_DIR}/packaging)
# The lab installs the same files by the same paths (lab/fleetlab/machine.py).
install(TARGETS fleetd DESTINATION bin COMPONENT fleet)
install(FILES ${packaging}/fleet.service ${packaging}/fleet.socket DESTINATION lib/systemd/system COMPONENT fleet)
install(FILES ${packaging}/fleet.sysusers DESTINATION lib/sysusers.d RENAME fleet.conf COMPONENT fleet)
install(FILES ${packaging}/fleet.tmpfiles DESTINATION lib/tmpfiles.d RENAME fleet.conf COMPONENT fleet)
install(FILES ${packaging}/fleet.rules DESTINATION share/polkit-1/rules.d COMPONENT fleet)
install(FILES ${packaging}/fleet.conf DESTINATION /etc/fleet COMPONENT fleet)
install(TARGETS fleetctl DESTINATION bin COMPONENT fleetctl)

# Debian's policy wants these of every package.
set(made ${CMAKE_BINARY_DIR}/packaging)
file(MAKE_DIRECTORY ${made})
foreach(pair "CHANGELOG.md changelog.gz" "packaging/debian/changelog changelog.Debian.gz")
  string(REPLACE " " ";" pair ${pair})
  list(GET pair 0 from)
  list(GET pair 1 to)
  execute_process(COMMAND gzip -9nc ${CMAKE_SOURCE_DIR}/${from} OUTPUT_FILE ${made}/${to} COMMAND_ERROR_IS_FATAL ANY)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${from})
endforeach()
foreach(package fleet fleetctl)
  install(FILES ${made}/changelog.gz ${made}/changelog.Debian.gz ${packaging}/debian/copyright
    DESTINATION share/doc/${package} COMPONENT ${package})
endforeach()

set(CPACK_GENERATOR DEB)
set(CPACK_VERBATIM_VARIABLES ON)
set(CPACK_PACKAGE_DIRECTORY ${CMAKE_BINARY_DIR})
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_PACKAGE_NAME fleet)
set(CPACK_PACKAGE_CONTACT "the fleet maintainers <maintainers@fleet.invalid>")
set(CPACK_STRIP_FILES ON)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS
  OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
set(CPACK_COMPONENTS_ALL fleet fleetctl)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_ENABLE_COMPONENT_DEPENDS OFF)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION admin)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)

set(CPACK_DEBIAN_FLEET_PACKAGE_NAME fleet)
set(CPACK_DEBIAN_FLEET_PACKAGE_DEPENDS "systemd, dbus, polkitd, procps")
set(CPACK_DEBIAN_FLEET_PACKAGE_RECOMMENDS fleetctl)
set(CPACK_DEBIAN_FLEET_PACKAGE_SUGGESTS etcd-server)
set(CPACK_COMPONENT_FLEET_DESCRIPTION
"init system of a cluster, made of the machines' systemd
fleetd takes ordinary systemd unit files with an [X-Fleet] section, decides
which machine of the cluster runs each, and starts them elsewhere when a
machine dies. It is a drop-in for CoreOS fleet 1.0. The cluster's state is in
etcd 3; a machine without etcd is a cluster of its own.")
set(CPACK_DEBIAN_FLEET_PACKAGE_CONTROL_EXTRA
  ${packaging}/debian/postinst ${packaging}/debian/prerm ${packaging}/debian/postrm ${packaging}/debian/conffiles)

set(CPACK_DEBIAN_FLEETCTL_PACKAGE_NAME fleetctl)
set(CPACK_DEBIAN_FLEETCTL_PACKAGE_RECOMMENDS openssh-client)
set(CPACK_COMPONENT_FLEETCTL_DESCRIPTION
"command line of fleet, the init system of a cluster
fleetctl starts, stops, lists and destroys the units of a cluster of fleet, on
one of its machines or from afar (through ssh), and follows their logs.")
include(CPack)
